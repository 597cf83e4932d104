"""The API over HTTP before a sandbox: who may see what, pages, ETags, refusals and bounds."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

import msgspec
import pytest

from exporter.dashboards.build import FLEET, render
from gateway import describe
from gateway.callers import accepted
from gateway.credentials import Credential
from gateway.openapi import LISTS
from gateway.records import Incident, Place, Site
from gateway.refusals import Unauthorised
from gateway.visible import Sight
from onext import published
from tests.fixtures_sandbox import Sandbox
from tests.gateway.conftest import Answer, Cloud, Gateway, basic, make_cloud, started
from tests.waiting import until

pytestmark = pytest.mark.process
NAMES = [*LISTS, "events"]


def plan(host: int, **changes: Any) -> dict[str, Any]:
    """Return a row of power as the worker publishes it."""
    return {
        "id": host, "name": f"node-{host + 1}", "cluster_id": 0, "phase": "", "since": None, "then": "stays",
        "reason": "VM 1 of bob cannot move", "bmc": "on", "idle_watts": 90.0, "saved_kwh": 1.5, "failed_wakes": 0,
        **changes,
    }  # fmt: skip


def incident(host: int, vms: list[int]) -> dict[str, Any]:
    """Return an incident as the worker publishes it."""
    return {
        "id": host, "name": f"node-{host + 1}", "cluster_id": 0, "phase": "fenced", "first": 1.0, "since": 2.0,
        "reason": "secret reason", "proof": "secret proof", "timeline": [{"at": 1.0, "what": "x", "lines": ["secret line"]}],
        "vms": [{"vm_id": vm, "stage": "waiting", "target_id": 1, "reason": "secret"} for vm in vms],
    }  # fmt: skip


def event(number: int, subject: str, **data: Any) -> dict[str, Any]:
    """Return an event as the worker publishes it."""
    return {
        "epoch": 1, "number": number, "id": f"hash{number}", "type": "io.opennebula.onext.vm.moved", "subject": subject,
        "time": 1.0, "late": False, "data": data, "before": {},
    }  # fmt: skip


def test_every_list_answers_and_is_described(gateway: Gateway, cloud: Cloud) -> None:
    """A client generated from the OpenAPI document would miss a list, or fail on one."""
    document = gateway.get("/v1/openapi.json", None).json
    for name in NAMES:
        answer = gateway.get(f"/v1/{name}")
        assert answer.status == 200, answer.body
        assert set(answer.json) == {"items", "total", "next"}
        assert f"/v1/{name}" in document["paths"]
    hosts = {one["name"]: one for one in gateway.items("hosts")}
    assert hosts["node-1"]["condition"] == "up"
    assert hosts["node-1"]["vms"] == 1
    assert document["components"]["schemas"]["Host"]["properties"].keys() == hosts["node-1"].keys()


def test_a_tenant_sees_what_oned_shows_and_nothing_of_others(gateway: Gateway, cloud: Cloud) -> None:
    """A tenant would read other tenants' VMs, or reasons, incidents and events about them."""
    gateway.publish("power", {"hosts": [plan(0), plan(1)], "clusters": [], "watts": {"0": 100.0}})
    gateway.publish(
        "availability", {"incidents": [incident(0, cloud.vms["alice"]), incident(1, cloud.vms["bob"])]}
    )
    mine, other = cloud.vms["alice"][0], cloud.vms["bob"][0]
    published.append(
        gateway.paths,
        [
            event(1, f"vm/{mine}", name="a", host=0, uid=2),
            event(2, f"vm/{other}", name="b", uid=3),
            event(3, "host/0", name="n"),
        ],
    )
    alice = cloud.session("alice")
    shown = cloud.sandbox.call("vmpool.info", -2, -1, -1, -1, session=alice)
    assert [one["id"] for one in gateway.items("vms", alice)] == [mine]
    assert f"<ID>{mine}</ID>" in shown
    for name in ("hosts", "clusters", "power", "ha", "energy", "targets"):
        assert gateway.items(name, alice) == [], name
    seen = until(lambda: gateway.items("events", alice), "the event")
    assert [one["subject"] for one in seen] == [f"vm/{mine}"]
    assert "host" not in seen[0]["data"]  # the tenant's pool has no host 0
    everything = "".join(gateway.get(f"/v1/{name}", alice).body.decode() for name in NAMES)
    assert "secret" not in everything
    assert "bob" not in everything
    assert [one["id"] for one in gateway.items("ha")] == [0, 1]
    assert len(gateway.items("events")) == 3
    for name in ("power", "availability"):
        published.remove(gateway.paths, name)


def test_an_incident_with_foreign_vms_stays_hidden(gateway: Gateway, cloud: Cloud) -> None:
    """A user who may use a host would learn which VMs of others were on it."""
    foreign, own = incident(0, cloud.vms["alice"] + cloud.vms["bob"]), incident(1, cloud.vms["alice"])
    sight = Sight(False, 2, hosts=[0, 1], vms=cloud.vms["alice"], clusters=[0])
    rows = [msgspec.convert(row, Incident) for row in (foreign, own)]
    seen = list(sight.incidents(rows))
    assert [one.id for one in seen] == [1]
    assert "secret" not in str(seen)


def test_a_credential_that_is_not_the_users_own_is_refused(cloud: Cloud) -> None:
    """Somebody would read as a user without that user's password."""
    wrong = [
        "alice:wrong",
        "nobody:x",
        "serveradmin:serveradmin:a",
        "serveradmin:oneadmin:a",
        "alice",
        ":x",
        "a b:x",
    ]
    with started(cloud.sandbox) as fresh:
        for session in wrong:
            answer = fresh.get("/v1/vms", session)
            assert answer.status == 401, session
            assert "www-authenticate" in answer.headers
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("name", "driver", "enabled"),
    [("oneadmin", "core", "1"), ("alice", "server_cipher", "1"), ("alice", "core", "0")],
)
def test_an_answer_about_another_user_is_refused(name: str, driver: str, enabled: str) -> None:
    """A driver that lets one user act for another would give that one's rights to whoever asks."""
    answer = f"<USER><ID>2</ID><GID>1</GID><NAME>{name}</NAME><AUTH_DRIVER>{driver}</AUTH_DRIVER><ENABLED>{enabled}</ENABLED></USER>"
    with pytest.raises(Unauthorised):
        accepted(answer.encode(), Credential("alice", "x"))
    assert (
        accepted(
            answer.replace(name, "alice")
            .replace("server_cipher", "ldap")
            .replace("<ENABLED>0", "<ENABLED>1")
            .encode(),
            Credential("alice", "x"),
        ).id
        == 2
    )


def test_bearer_takes_a_login_token(gateway: Gateway, cloud: Cloud) -> None:
    """Scripts could not use the tokens of `oneuser token-create`."""
    token = cloud.sandbox.call("user.login", "alice", "", 600, -1, session=cloud.session("alice"))
    answer = gateway.get("/v1/vms", None, {"Authorization": f"Bearer alice:{token}"})
    assert [one["name"] for one in answer.json["items"]] == ["vm-of-alice"]


def test_a_disabled_user_is_refused_within_seconds(gateway: Gateway, cloud: Cloud) -> None:
    """A user that the administrator disabled would read on."""
    user = gateway.items("vms", cloud.session("alice"))[0]["user_id"]
    cloud.sandbox.call("user.enable", user, False)
    until(lambda: gateway.get("/v1/vms", cloud.session("alice")).status == 401, "the refusal")
    cloud.sandbox.call("user.enable", user, True)


def test_pages_fields_and_etags(gateway: Gateway, cloud: Cloud) -> None:
    """A client could not read a large cloud piece by piece, or would fetch unchanged lists again."""
    first = gateway.get("/v1/vms?limit=1&fields=id,name").json
    assert first == {"items": [{"id": 0, "name": "vm-of-alice"}], "total": 2, "next": "0"}
    second = gateway.get(f"/v1/vms?limit=1&fields=id,name&after={first['next']}").json
    assert second == {"items": [{"id": 1, "name": "vm-of-bob"}], "total": 2, "next": None}
    tag = gateway.get("/v1/clusters").headers["etag"]
    again = gateway.get("/v1/clusters", headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "limit=1001", "after=x", "fields=nope", "fields=", "x=1", "limit=1&limit=2"],
)
def test_an_invalid_parameter_is_refused_and_named(gateway: Gateway, query: str) -> None:
    """A typing error would be taken for "all"."""
    answer = gateway.get(f"/v1/vms?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in answer.json["detail"] or "twice" in answer.json["detail"]


def test_sites_group_hosts_by_place(gateway: Gateway, cloud: Cloud) -> None:
    """Hosts would be missing on the map, or a map program could not read it."""
    for host in cloud.hosts:
        cloud.sandbox.call("host.update", host, 'GEOLOCATION="59.3293,18.0686"', 1)
    site = gateway.items("sites")[0]
    assert (site["hosts"], site["vms"], site["conditions"]) == (2, 2, {"up": 2})
    feature = gateway.get("/v1/sites.geojson").json["features"][0]
    assert feature["geometry"]["coordinates"] == [18.07, 59.33]


def test_bounds_on_bodies_headers_and_failed_logins(gateway: Gateway, cloud: Cloud) -> None:
    """One client could fill the memory, or guess passwords as fast as oned answers."""
    assert gateway.ask("POST", "/v1/vms", body=b"x" * 200_000).status == 413
    assert gateway.get("/v1/vms?fields=" + "a" * 4000).status == 400
    assert _raw(gateway, b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n") in (400, 431)
    with started(cloud.sandbox) as fresh:
        fresh.get("/v1/vms", cloud.session("alice"))
        refused = [fresh.get("/v1/vms", f"alice:guess{number}").status for number in range(14)]
        assert fresh.get("/v1/vms", cloud.session("alice")).status == 200  # from the same address
    assert refused[0] == 401
    assert refused[-1] == 429  # before oned is asked


def test_a_user_who_asks_too_often_waits(cloud: Cloud) -> None:
    """One user's script would use up oned's connections."""
    with started(cloud.sandbox, "  requests: 1\n") as running:
        answers = [running.get("/v1/clusters") for _ in range(8)]
    assert answers[0].status == 200
    assert answers[-1].status == 429
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_oned_down_is_reported_and_no_secret_is_logged(sandbox: Sandbox) -> None:
    """A client would take an outage for an empty cloud; a password would be in the system's journal."""
    cloud = make_cloud(sandbox)
    with started(sandbox) as gateway:
        gateway.get("/v1/vms", "alice:wrong-password-of-alice")
        gateway.get("/v1/vms", cloud.session("alice"))
        gateway.get("/v1/nowhere?token=secret-in-a-query")
        sandbox.stop()
        answer = gateway.get("/v1/hosts", cloud.session("bob"))
        assert answer.status == 503
        assert str(sandbox.endpoint) not in answer.body.decode()
        assert "secret" not in gateway.output
        assert "wrong-password" not in gateway.output
        assert "oned" in gateway.output


def test_a_stream_sends_what_the_caller_may_see_and_resumes(gateway: Gateway, cloud: Cloud) -> None:
    """A browser would miss changes after a lost connection, or get those of other tenants."""
    mine, other = cloud.vms["alice"][0], cloud.vms["bob"][0]
    published.append(gateway.paths, [event(101, f"vm/{mine}", uid=2), event(102, f"vm/{other}", uid=3)])
    until(lambda: "1.102" in str(gateway.items("events")), "the events")
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "1.100"}
    alice = _stream(gateway, cloud.session("alice"), headers, until_text='"uid":"hash103"', then=lambda: published.append(
        gateway.paths, [event(103, f"vm/{mine}", uid=2)]))  # fmt: skip
    assert "id: 1.101\nevent: change\n" in alice
    assert "hash102" not in alice
    lost = _stream(
        gateway, "", {"Accept": "text/event-stream", "Last-Event-ID": "0.7"}, until_text="event: reset"
    )
    assert "id: 1.103" in lost


def _stream(
    gateway: Gateway, session: str, headers: dict[str, str], until_text: str, then: Any = None
) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    connection.request("GET", "/v1/events", headers={**basic(session or gateway.sandbox.session), **headers})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    text = answer.read1().decode()
    if then is not None:
        then()
    while until_text not in text:
        chunk = answer.read1().decode()
        assert chunk, f"the stream ended: {text}"
        text += chunk
    connection.close()
    return text


def _raw(gateway: Gateway, request: bytes) -> int:
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
        connection.sendall(request)
        return int(connection.recv(100).split()[1])


def test_a_damaged_publication_does_no_harm(gateway: Gateway) -> None:
    """A file that was cut by a full disk would end the page for everybody."""
    folder = published.folder(gateway.paths)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "power.json").write_text('{"hosts": [{"id": 1}, 7')
    (folder / "availability.json").write_text(json.dumps({"incidents": [{"id": "x"}, 3, incident(0, [])]}))
    (folder / "events.jsonl").write_text('{"epoch": 1}\nnot json\n')
    assert gateway.items("power") == []
    assert [one["id"] for one in gateway.items("ha")] == [0]
    answer: Answer = gateway.get("/v1/events")
    assert answer.status == 200


def test_the_map_of_the_fleet_dashboard_finds_its_columns() -> None:
    """The panel in Grafana would be empty, because it asks for fields that the gateway does not have."""
    site = Site(
        id="1.00,2.00",
        place=Place(latitude=1.0, longitude=2.0),
        hosts=3,
        conditions={},
        vms=4,
        watts=None,
        host_ids=[],
    )
    panel = json.loads(render(FLEET))["panels"][-1]
    found: Any = describe.geojson([site])[panel["targets"][0]["root_selector"]]
    row = {}
    for column in panel["targets"][0]["columns"]:
        value = found[0]
        for key in column["selector"].split("."):
            value = value[int(key)] if key.isdecimal() else value[key]
        row[column["text"]] = value
    assert row == {"site": "1.00,2.00", "latitude": 1.0, "longitude": 2.0, "hosts": 3, "vms": 4}
    location = panel["options"]["layers"][0]["location"]
    assert {location["latitude"], location["longitude"]} <= row.keys()

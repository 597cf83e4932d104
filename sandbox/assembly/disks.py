"""A VM's disks: of an image, or volatile."""

from sandbox.errors import InternalError
from sandbox.state.resources import Image
from sandbox.state.vm import VM
from sandbox.state.world import World


def disk(world: World, vm: VM, number: int, given: dict[str, str]) -> dict[str, str]:
    """Return a DISK as a VM's template has it; its image knows of the VM."""
    image = _image(world, given)
    letter = chr(ord("a") + number)
    if image is None:
        return {"DISK_ID": str(number), "TARGET": f"sd{letter}", "DEV_PREFIX": "sd", "SAVE": "NO", **given}
    image.vms.append(vm.id)
    image.state = 2
    image.touch()
    datastore, store = image.datastore, image.datastore.template.get
    return {
        "ALLOW_ORPHANS": store("ALLOW_ORPHANS"),
        "CLONE": "YES",
        "CLONE_TARGET": store("CLONE_TARGET"),
        "CLUSTER_ID": ",".join(map(str, sorted(datastore.cluster_ids))),
        "DATASTORE": datastore.name,
        "DATASTORE_ID": str(datastore.id),
        "DEV_PREFIX": "sd",
        "DISK_ID": str(number),
        "DISK_SNAPSHOT_TOTAL_SIZE": "0",
        "DISK_TYPE": "FILE",
        "DRIVER": image.format,
        "FORMAT": image.format,
        "IMAGE": image.name,
        "IMAGE_ID": str(image.id),
        "IMAGE_STATE": "2",
        "LN_TARGET": store("LN_TARGET"),
        "ORIGINAL_SIZE": str(image.size),
        "PERSISTENT_SNAPSHOTS": store("PERSISTENT_SNAPSHOTS"),
        "READONLY": "NO",
        "SAVE": "NO",
        "SIZE": str(image.size),
        "SOURCE": image.source,
        "TARGET": f"sd{letter}",
        "TM_MAD": store("TM_MAD"),
        "TYPE": "FILE",
        **given,
    }


def _image(world: World, disk: dict[str, str]) -> Image | None:
    if "IMAGE_ID" in disk:
        return world.images.get(int(disk["IMAGE_ID"]))
    if "IMAGE" in disk:
        found = world.images.named(disk["IMAGE"])
        if found is None:
            raise InternalError(f"User 0 does not own an image with name: {disk['IMAGE']} .")
        return found
    return None

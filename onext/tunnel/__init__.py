"""`onext tunnel`: the tunnels of live migrations, from the front-end (the driver: drivers/vmm/migrate)."""

"""`python -m gateway`."""

from gateway.main import main

if __name__ == "__main__":  # a process that it spawns imports this module
    main()

"""`python -m onext.biscuit`: the commands where no `onext` is installed, as from a checkout."""

from onext.biscuit.commands import biscuit

if __name__ == "__main__":
    biscuit(prog_name="onext biscuit")

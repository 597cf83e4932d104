"""What a user may do: orders from the API to the worker, which asks oned for the right and runs our commands.

`endpoint` and `client` are the gateway's side; `desk`, `rights`, `commands` and `ledger` are the worker's.
"""

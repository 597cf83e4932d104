#!/bin/sh
# For OpenNebula's host_error.rb (--fence): $1 is the host's template in base64; exits 0 only when it is off.
exec onext power fence --template "$1"

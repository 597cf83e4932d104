#!/bin/sh
# For OpenNebula's host_error.rb, which gives the host in base64 on standard input; exits 0 only when it is off.
exec "${ONE_LOCATION:+$ONE_LOCATION/bin/}onext" power fence --template -

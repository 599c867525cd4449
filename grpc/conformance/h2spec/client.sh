#!/bin/bash
# What h2specd runs for each of its cases: hands the case's address to the suite, whose client makes
# one call there, and waits for the call's end.
exec 3<>"/dev/tcp/127.0.0.1/$H2SPEC_BRIDGE_PORT"
echo "$1" >&3
read -r _ <&3

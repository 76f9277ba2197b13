#!/bin/sh
# A fleet on loopback for anyone to try: 3 NATS servers, 3 nodes, HAProxy. No provider's key is needed: the model is the
# built-in simulator. Ctrl-C ends it all. --help tells more.
exec node "$(dirname "$0")/local-fleet/main.mjs" "$@"

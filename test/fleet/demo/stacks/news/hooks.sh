#!/usr/bin/env bash

# Send notification when services start
hook_post_up() {
  echo "  Notifying monitoring system..."
  notify up
  return 0
}

# Alert on shutdown
hook_post_down() {
  echo "  Sending shutdown notification..."
  notify down
  return 0
}

# MONITORING_URL comes from the root .env, beside the stacks. (busybox has a wget; not every host has curl.)
notify() {
  timeout 5 busybox wget -q -O /dev/null "${MONITORING_URL}" \
    --header "Content-Type: application/json" \
    --post-data "{\"host\": \"${KOMPOSE_HOST}\", \"stack\": \"${stack}\", \"status\": \"$1\"}"
}

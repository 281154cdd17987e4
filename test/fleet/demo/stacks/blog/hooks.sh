#!/usr/bin/env bash

# Warm caches after starting
hook_post_up() {
  local address
  address=$(docker compose port app 80)

  echo "  Warming application caches..."
  for _ in {1..50}; do
    # (busybox: not every host has curl.)
    if busybox wget -q -T 5 -O - "http://${address}${WARM_PATH}"; then
      return 0
    fi
    sleep 0.2
  done
  echo "  Warning: the app does not answer"
  return 0
}

# Clear caches before restart
hook_pre_restart() {
  echo "  Clearing application caches..."
  docker exec "${COMPOSE_PROJECT_NAME}_cache" redis-cli FLUSHALL
  return 0
}

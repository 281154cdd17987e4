#!/usr/bin/env bash

# Warm caches after starting
hook_post_up() {
  echo "  Warming application caches..."
  for _ in {1..50}; do
    if docker compose exec -T app wget -q -O - "http://127.0.0.1${WARM_PATH}" 2> /dev/null; then
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

#!/usr/bin/env bash

# Setup before starting containers
hook_pre_up() {
  local -a args=("$@")

  echo "  Running pre-flight checks..."
  echo "  All args: ${args[*]}, environment: ${ENVIRONMENT}"
  if [[ ! -d "./uploads" ]]; then
    echo "  Creating uploads directory..."
    mkdir -p ./uploads
  fi

  return 0 # 0 = success, 1 = failure
}

# Verify services after startup
hook_post_up() {
  echo "  Waiting for services to be healthy..."
  for _ in {1..50}; do
    if docker compose ps | grep -q "(healthy)"; then
      echo "  ✓ Services are healthy"
      return 0
    fi
    sleep 0.2
  done
  echo "  ⚠ Warning: Some services may not be healthy"
  return 0 # Non-critical, don't fail
}

# Export Directus schema before a restart
hook_pre_restart() {
  local snapshot_file="directus_schema_$(date +%Y%m%d_%H%M%S).yaml"

  echo "  Exporting Directus schema snapshot..."
  if docker exec "${COMPOSE_PROJECT_NAME}_api" npx directus schema snapshot > "$snapshot_file" 2> /dev/null; then
    echo "  Schema snapshot saved: $snapshot_file"
  else
    rm -f "$snapshot_file"
    echo "  Warning: Could not export schema snapshot"
  fi
  return 0 # Don't fail the entire restart
}

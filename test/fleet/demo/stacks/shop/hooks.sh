#!/usr/bin/env bash

# No shop without a way to pay
hook_pre_up() {
  echo "  Running pre-flight checks..."
  if [[ -z "${PAYMENT_KEY:-}" ]]; then
    echo "  ✗ PAYMENT_KEY is not set: add it to ${stack}/.env, or pass it with -e" >&2
    return 1
  fi
  echo "  ✓ Paying in ${CURRENCY} with the key ${PAYMENT_KEY}" # kompose never shows its value
  return 0
}

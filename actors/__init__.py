"""The cast: manager, workers, cron, notifier, projection, engines."""

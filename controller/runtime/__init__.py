"""What every kind of resource needs: a work queue, Secrets, statuses, Events, probes, metrics."""

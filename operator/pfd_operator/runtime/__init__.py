"""The running operator: kopf wiring, the keyed work queue, settings, metrics, health."""

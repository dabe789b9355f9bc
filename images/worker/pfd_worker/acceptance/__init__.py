"""What decides whether a student is accepted: speed, stability, structure, and the verdict on all that was measured."""

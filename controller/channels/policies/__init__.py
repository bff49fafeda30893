"""What a grant and a stream key need next: pure decisions from facts."""

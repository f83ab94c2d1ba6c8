"""What every kind of job beside answering shares: permits, claims, heartbeats. What one kind does is a `JobWork`."""

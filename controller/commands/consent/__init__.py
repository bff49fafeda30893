"""What `authorize` and `revoke` are made of; redirects and outcomes are pure."""

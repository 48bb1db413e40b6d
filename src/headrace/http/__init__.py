"""What our HTTP servers share: the socket and granian, who is let in, how a refusal is said."""

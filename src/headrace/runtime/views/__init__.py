"""What an environment is doing and did, read beside whatever runs: status, glances, the last events, quarantine."""

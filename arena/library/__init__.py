"""What an agent can see of the library, and what is admitted to it."""

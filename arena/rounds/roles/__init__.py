"""What each role is asked and how its replies are read, in one file a role."""

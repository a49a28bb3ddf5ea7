"""Questions asked ahead: the largest gang, drills, checks of a facility, and when a gang could start."""

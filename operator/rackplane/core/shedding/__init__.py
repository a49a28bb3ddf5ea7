"""What running gangs give up while an element is over its limit, and how they get it back."""

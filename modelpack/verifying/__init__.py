"""An image, what vouches for it, and a policy: to a report of what is proved and what is not."""

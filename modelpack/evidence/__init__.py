"""What is made to vouch for an image: found out here, about exactly this digest."""

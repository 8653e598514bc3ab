"""Private keys that statements are signed with, wherever they are: a file, an HSM, a cloud."""

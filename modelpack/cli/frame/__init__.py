"""What commands are made of: what each takes and gives, how it fails, and steps that they share."""

"""An image on one page for a browser, which runs nothing and fetches nothing."""

"""The services of a Sigstore that signing needs: who certifies, who logs, who tells the time."""

"""What a run looks like: its data as JSON values, a server for a browser, and a viewer for a terminal."""

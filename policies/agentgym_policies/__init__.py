"""The shipped policies: scripted play, replay, local models and servers."""

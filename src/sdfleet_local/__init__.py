"""The one-machine deployment: embedded AWS endpoint, gateway, local group of real schedulers."""

"""What goes on when nobody is connected: detached runs, services, releases that wait to be confirmed."""

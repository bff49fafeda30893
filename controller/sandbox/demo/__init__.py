"""What the demo shows and checks; the command itself is `controller.commands.demo`.

It knows what a user knows: what kubectl and the simulators answer, and the operator's log.
"""

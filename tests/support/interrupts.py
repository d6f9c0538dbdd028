"""What a test starts and then interrupts as with Ctrl-C."""

# A shell lets what it starts in the background, such as a whole test run, ignore Ctrl-C, and so
# all that is started by that.
INTERRUPTIBLE = ("env", "--default-signal=INT")

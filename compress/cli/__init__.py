"""One file a verb. Heavy imports happen inside commands, so that `--help` stays fast."""

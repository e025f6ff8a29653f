"""`python -m headrace` is the `headrace` command."""

from headrace.deploy.cli.main import main

main()

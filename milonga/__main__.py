from milonga.cli.main import run

run()

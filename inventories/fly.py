"""The service on Fly: its files are written into this project, for you to commit.

    pyinfra --dry --diff inventories/fly.py deploy.py    shows what would change
    pyinfra inventories/fly.py deploy.py                 writes it, and says what to type next

docs/guides/platforms.md has what Fly keeps of the settings.
"""

from wsdeploy import App, Fly, SelfSigned, Settings, platform

settings = Settings(
    domain="ws.example.com",  # EDIT: the name that clients connect to
    app=App(
        "files/app.py",
        # secrets={"DATABASE_URL": FromEnv("DATABASE_URL")},  # by name; a command sets the value
    ),
    tls=SelfSigned(),  # certificates are Fly's
    name="chat",  # EDIT: nobody else's app may have it
    max_connections=5_000,  # clients per machine
)

project = platform(settings, Fly(instances=2))

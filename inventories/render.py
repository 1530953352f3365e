"""The service on Render: its files are written into this project, for you to commit.

    pyinfra --dry --diff inventories/render.py deploy.py    shows what would change
    pyinfra inventories/render.py deploy.py                 writes it, and says what to type next

docs/guides/platforms.md has what Render keeps of the settings.
"""

from wsdeploy import App, Render, SelfSigned, Settings, platform

settings = Settings(
    domain="ws.example.com",  # EDIT: the name that clients connect to
    app=App(
        "files/app.py",
        # secrets={"DATABASE_URL": FromEnv("DATABASE_URL")},  # by name; Render asks for the value
    ),
    tls=SelfSigned(),  # certificates are Render's
    name="chat",
    max_connections=5_000,  # clients per instance
)

project = platform(settings, Render(instances=2))

"""The service on Heroku: its files are written into this project, for you to commit.

    pyinfra --dry --diff inventories/heroku.py deploy.py    shows what would change
    pyinfra inventories/heroku.py deploy.py                 writes it, and says what to type next

docs/guides/platforms.md has what Heroku keeps of the settings.
"""

from wsdeploy import App, Heroku, SelfSigned, Settings, platform

settings = Settings(
    domain="ws.example.com",  # EDIT: the name that clients connect to
    app=App(
        "files/app.py",
        drain=12,  # Heroku kills a dyno after 30 s; 13 are for clients that do not answer
        # secrets={"DATABASE_URL": FromEnv("DATABASE_URL")},  # by name; a command sets the value
    ),
    tls=SelfSigned(),  # certificates are Heroku's
    name="chat",  # EDIT: nobody else's app may have it
    max_connections=5_000,  # clients per dyno
)

project = platform(settings, Heroku(instances=2))

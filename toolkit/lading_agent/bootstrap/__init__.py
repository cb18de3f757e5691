"""Taking its place on a device, and leaving it: what the agent does before it serves, and in place of it.

::

    HOME/agent/VERSION-DIGEST12.pyz    the agent, at most this one and the one before it (and those that still run)
    HOME/agent/VERSION-DIGEST12.code   its compiled code, for the Python that runs it (see ``code``)
    HOME/agent/current                 symlink to the one that was installed last: what services start
    HOME/agent/previous                symlink to the one before it
    HOME/agent/python                  the Python that runs it
    HOME/agent/made                    folders above HOME that did not exist before
    HOME/agent/ID.ready, ID.json       see ``lading_agent.store.ready``
    HOME/agent/incoming-*              an agent on its way

The client speaks with it through a shell: every answer is one line that begins with :data:`~answer.MARK`.
"""

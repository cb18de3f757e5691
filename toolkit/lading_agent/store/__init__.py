"""The device's store: content by digest, releases of several apps, and what keeps them whole through power cuts.

::

    HOME/
      lock                      flock(2); its content says who holds it
      device.json               target and firmware profile (written by whoever set the device up)
      agent/                    the agent itself (see ``lading_agent.bootstrap``)
      engines/                  which blobs are engines (see ``lading_agent.engines.stored``)
      blobs/sha256/HEX          content, read-only; complete as soon as it has its name
      staging/HEX.part          content on its way, goes on where it stopped
      staging/APP.intent        what a push that is not over wants: keeps its content from the sweep
      staging/tmp-*             whatever else is being made or thrown away
      apps/APP/releases/ID/     release.json, bill.json, dirs/N/… (hard links into blobs)
      apps/APP/current          symlink to releases/ID, only ever replaced by rename(2)
      apps/APP/history          what was current when, bounded
      apps/APP/pins             releases that gc leaves alone
      apps/APP/state/NAME/      the app's writable directories; they survive releases
"""

"""The script that draws the game's pictures and lays out its map: ``python -m gamenet.play.art``.

Layer 4. Every picture is drawn here, pixel by pixel, and comes out the same each time. ``palette``
has the colours and ``pixels`` the pencils; ``ground``, ``water``, ``walls``, ``plants`` and
``wood`` draw tiles, ``heroes`` people; ``layout`` and ``planting`` say what lies where, and ``tmx``
writes that as a map that Tiled opens, too.
"""

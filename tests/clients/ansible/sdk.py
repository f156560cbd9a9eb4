"""What the collection has no module for, by the SDK below it.

  sdk.py CLOUD share IMAGE PROJECT    offers an image to a project
  sdk.py CLOUD accept IMAGE           takes the offer
  sdk.py CLOUD compare IMAGE FILE     downloads beside the file, and says 'same', or 'differs'
"""
import pathlib
import sys

import openstack

cloud, command, image, *rest = sys.argv[1:]
connection = openstack.connect(cloud=cloud)
match command, rest:
    case 'share', [project]:
        print(connection.image.add_member(image, member_id=project).status)
    case 'accept', []:
        member = connection.image.update_member(connection.current_project_id, image, status='accepted')
        print(member.status)
    case 'compare', [file]:
        back = pathlib.Path(f'{file}.back')
        connection.image.download_image(image, output=str(back))
        print('same' if back.read_bytes() == pathlib.Path(file).read_bytes() else 'differs')
    case _:
        sys.exit(__doc__)

from feast import Entity

courier = Entity(name="courier", join_keys=["courier_id"], description="Who rides")

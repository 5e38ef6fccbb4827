class CreateProducts < ActiveRecord::Migration[6.1]
  def up
    create_table :products do |t|
      t.string :name, null: false
      t.integer :cents, null: false
      t.timestamps
    end
    execute <<~SQL
      INSERT INTO products (name, cents, created_at, updated_at) VALUES
        ('Robusto', 1250, now(), now()), ('Corona', 980, now(), now()), ('Panatela', 760, now(), now()),
        ('Churchill', 1890, now(), now()), ('Toro', 1420, now(), now())
    SQL
  end

  def down
    drop_table :products
  end
end

class CreateOrders < ActiveRecord::Migration[6.1]
  CUSTOMERS = ["Avery", "Blake", "Casey", "Devon"].freeze

  def up
    create_table :orders do |t|
      t.string :customer, null: false
      t.integer :grams, null: false
      t.datetime :shipped_at
      t.timestamps
    end
    rows = CUSTOMERS.each_with_index.map { |name, n| "('#{name}', #{(n + 1) * 250}, now(), now())" }
    execute "INSERT INTO orders (customer, grams, created_at, updated_at) VALUES #{rows.join(", ")}"
  end

  def down
    drop_table :orders
  end
end

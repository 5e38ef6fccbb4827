class Product < ApplicationRecord
  validates :name, presence: true
  validates :cents, numericality: { only_integer: true }

  def price
    format("%.2f €", cents / 100.0)
  end
end

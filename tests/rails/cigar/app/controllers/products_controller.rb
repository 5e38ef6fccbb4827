class ProductsController < ApplicationController
  # The shop's till posts here without a browser.
  skip_forgery_protection only: :create

  def index
    @products = Product.order(:id)
    logger.info("Listing #{@products.size} products")
  end

  def show
    @product = Product.find(params[:id])
    logger.info("Product #{@product.id} from the database")
  end

  def create
    product = Product.create!(name: params.require(:name), cents: params.require(:cents))
    redirect_to product, status: :see_other
  end

  # Fails as real code does: with a stack trace from a few calls down.
  def report
    render json: { average: average(Product.where("cents < 0").to_a) }
  end

  private

  def average(products)
    total(products) / products.size
  end

  def total(products)
    products.sum(&:cents)
  end
end
